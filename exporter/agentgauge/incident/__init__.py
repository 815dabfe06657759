"""From a page to its end: the runbook read by a program, its queries asked, its command run, the end awaited."""
