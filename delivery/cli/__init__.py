"""The command line of delivery: application.py joins the groups, one file per group."""
