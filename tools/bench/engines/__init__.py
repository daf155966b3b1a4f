"""One room per engine that is measured in process; each returns figures per concurrency."""
