package atomicfile

// SyncDir does nothing: Windows cannot flush a folder's handle, and NTFS keeps a journal of renames.
func SyncDir(string) error { return nil }
