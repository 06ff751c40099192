"""The work itself: an executor per kind of agent behind one contract. Knows no database, HTTP server or Prefect."""
