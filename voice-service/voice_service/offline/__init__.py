"""Offline voice: recognition and speech from pip wheels alone.

`opening.open_offline` opens it. Modules that run in processes of their own (`building`, `worker`,
`general`) import nothing of the agent.
"""
