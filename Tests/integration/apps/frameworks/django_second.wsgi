"""As Django's startproject writes it: the settings are named by the environment, unless it names them already."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings_second")

from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()
