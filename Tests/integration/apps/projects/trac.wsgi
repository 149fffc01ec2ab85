import os

os.environ['TRAC_ENV'] = os.path.join(os.path.dirname(__file__), 'environment')
os.environ['PYTHON_EGG_CACHE'] = os.path.join(os.path.dirname(__file__), 'eggs')

from trac.web.main import dispatch_request as application  # noqa: E402, F401
