CREATE TABLE accounts (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    industry TEXT NOT NULL,
    region TEXT NOT NULL,
    owner TEXT NOT NULL
);

CREATE TABLE contacts (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts (id),
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    email TEXT NOT NULL UNIQUE
);

-- renewal_date is empty for deals that are lost or not won yet.
CREATE TABLE deals (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts (id),
    name TEXT NOT NULL,
    arr_usd INTEGER NOT NULL,
    stage TEXT NOT NULL
        CHECK (stage IN ('prospecting', 'qualified', 'proposal', 'negotiation', 'closed_won', 'closed_lost')),
    renewal_date TEXT,
    updated_on TEXT NOT NULL
);

CREATE TABLE products (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    family TEXT NOT NULL,
    list_price_usd INTEGER NOT NULL,
    unit TEXT NOT NULL,
    description TEXT NOT NULL
);

CREATE TABLE emails (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts (id),
    contact_id TEXT NOT NULL REFERENCES contacts (id),
    sent_on TEXT NOT NULL,
    direction TEXT NOT NULL CHECK (direction IN ('inbound', 'outbound')),
    subject TEXT NOT NULL,
    body TEXT NOT NULL
);

-- What the agent writes, and what reps write themselves: then written_by has their name. A draft with sent_at set is in
-- the outbox.
CREATE TABLE drafts (
    id INTEGER PRIMARY KEY,
    contact_id TEXT NOT NULL REFERENCES contacts (id),
    subject TEXT NOT NULL,
    body TEXT NOT NULL,
    created_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
    sent_at TEXT,
    written_by TEXT
);

CREATE TABLE notes (
    id INTEGER PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts (id),
    kind TEXT NOT NULL CHECK (kind IN ('note', 'next_step', 'risk')),
    text TEXT NOT NULL,
    created_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
    written_by TEXT
);

CREATE INDEX contacts_by_account ON contacts (account_id);
CREATE INDEX deals_by_account ON deals (account_id);
CREATE INDEX emails_by_account ON emails (account_id, sent_on);
CREATE INDEX notes_by_account ON notes (account_id);
