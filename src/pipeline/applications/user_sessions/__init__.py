"""User sessions: which way do people reach a page, and who are they?"""

from pipeline.applications.user_sessions.topology import application

APPLICATION = application
