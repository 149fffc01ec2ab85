"""The script beside which test_loading.py writes its own."""
from routes import Router

application = Router().application
