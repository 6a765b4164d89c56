"""The only place with FastAPI: public pages, the API, the operators' part."""
