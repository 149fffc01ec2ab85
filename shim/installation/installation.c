#include "CInstallation.h"

const char *wsgi_installation_modules(void)
{
    return WSGI_MODULE_DIRECTORY;
}

const char *wsgi_installation_runtime(void)
{
    return WSGI_RUNTIME_DIRECTORY;
}

const char *wsgi_installation_httpd(void)
{
    return WSGI_HTTPD;
}

const char *wsgi_installation_python(void)
{
    return WSGI_DEFAULT_PYTHON;
}
