"""Files that people edit and processes watch: YAML with line numbers, JSON that is read again when it changes."""
