//! The driver as the host sees it: Loaded, Initialized, Prepared, Running.
