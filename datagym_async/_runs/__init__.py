"""What every bulk job is: engine, needs, threads, disk, safe names, decoding, report text."""
