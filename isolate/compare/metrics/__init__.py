"""The metrics that come with isolate; registered as a third party's are."""
