"""What the stack survives: processes are killed, disks are full, databases go away, clocks jump."""
