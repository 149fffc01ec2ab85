/* What Swift's Glibc import cannot express: control messages, credentials, prctl. */
#ifndef WSGI_CPOSIX_H
#define WSGI_CPOSIX_H
#include "channel.h"
#include "supervision.h"
#include "worker.h"
#endif
