#include "CEngineTable.h"
#include <patchlevel.h>

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

const wsgi_engine wsgi_engine_table __asm__(WSGI_ENGINE_SYMBOL) = {
  .abi = WSGI_ENGINE_ABI,
  .python_hex = PY_VERSION_HEX,
  .python = TEXT(PY_MAJOR_VERSION) "." TEXT(PY_MINOR_VERSION),
  .start = wsgi_swift_engine_start,
  .load = wsgi_swift_engine_load,
  .settle = wsgi_swift_engine_settle,
  .fork = wsgi_swift_engine_fork,
  .run = wsgi_swift_engine_run,
  .call = wsgi_swift_engine_call,
  .interrupt = wsgi_swift_engine_interrupt,
  .stacks = wsgi_swift_engine_stacks,
  .probe = wsgi_swift_engine_probe,
  .signal = wsgi_swift_engine_signal,
  .stopping = wsgi_swift_engine_stopping,
  .stop = wsgi_swift_engine_stop,
  .abandon = wsgi_swift_engine_abandon,
};
