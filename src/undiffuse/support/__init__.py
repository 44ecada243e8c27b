"""What every layer stands on: errors, arrays, streams, statistics, files, threads, progress."""
