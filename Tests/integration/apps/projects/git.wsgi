import os

os.environ['HOME'] = os.path.dirname(__file__)  # of root where httpd was started by root

from dulwich.repo import Repo  # noqa: E402
from dulwich.server import DictBackend  # noqa: E402
from dulwich.web import make_wsgi_chain  # noqa: E402

serve = make_wsgi_chain(DictBackend({'/site.git': Repo(os.path.join(os.path.dirname(__file__), 'site.git'))}))


def application(environ, start_response):
    # Where it sees this header dulwich takes chunks apart itself, which httpd has already done.
    environ.pop('HTTP_TRANSFER_ENCODING', None)
    return serve(environ, start_response)
