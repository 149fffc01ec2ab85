"""The script beside which test_105_loading.py writes its own."""
from routes import Router

application = Router().application
