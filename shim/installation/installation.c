#include "CInstallation.h"

const char *wsgi_installation_modules(void)
{
    return WSGI_MODULE_DIRECTORY;
}

const char *wsgi_installation_runtime(void)
{
    return WSGI_RUNTIME_DIRECTORY;
}
