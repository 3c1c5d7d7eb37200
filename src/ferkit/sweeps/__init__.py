"""Many runs: what is to run, running it side by side or on a cluster, and searching settings."""
