"""The pages Study: participants, sessions, blood values, clips and export."""
