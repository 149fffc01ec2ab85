#include "CPosix.h"
typedef int wsgi_posix_nothing;
