"""What every layer uses: errors, arrays, streams, statistics, files, threads, progress."""
