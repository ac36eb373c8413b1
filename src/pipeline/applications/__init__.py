"""The applications that come with the project, and how any application is found by its name."""
