"""Sets up an interpreter, as far as Python can do that itself.

Executed once in every new interpreter, with `native` (NativeFunctions.swift) and `settings` (dict of str) in its namespace,
where it defines what the adapter calls: `configure`, `make_stream`, `format_exception`, `module_name`,
`compile_script`, `execute_script`, `publish`, `collector_snapshot`, and the classes `FileWrapper` and `RequestTimeout`.

What is imported here takes time and memory in every process: modules that not every application needs are imported where they
are used. `threading` takes the thread that imports it for the main thread, which the thread of a request is not.
"""
import gc
import io
import os
import sys
import threading
import types
from time import monotonic, sleep, time_ns


class RequestTimeout(BaseException):
    """A request ran longer than request-timeout allows. Raised in its thread: clean up and let it pass."""
    __module__ = 'mod_wsgi'


class FileWrapper:
    """PEP 3333's wsgi.file_wrapper. Returned as it is from an application, a regular file is sent by the server itself."""
    __module__ = 'mod_wsgi'

    def __init__(self, filelike, blksize=8192):
        if blksize < 0:
            raise ValueError('blksize must not be negative')
        self._filelike = filelike
        self._blksize = blksize
        self._closed = False

    @property
    def filelike(self):
        if self._closed:
            raise ValueError('I/O operation on closed file')
        return self._filelike

    @property
    def blksize(self):
        return self._blksize

    def __iter__(self):
        return self

    def __next__(self):
        data = self.filelike.read(self._blksize)
        if not isinstance(data, bytes):
            raise TypeError('file-like object must return bytes, not %s' % type(data).__name__)
        if not data:
            raise StopIteration
        return data

    def close(self):
        if self._closed:
            return
        filelike, self._filelike, self._closed = self._filelike, None, True
        if hasattr(filelike, 'close'):
            try:
                filelike.close()
            except Exception:
                pass


def make_log_handler():
    import logging

    class LogHandler(logging.Handler):
        """Sends records to httpd's error log, at their own level."""
        __module__ = 'mod_wsgi'
        __qualname__ = 'LogHandler'

        @staticmethod
        def _level(number):
            for level, least in ((2, 50), (3, 40), (4, 30), (6, 20)):
                if number >= least:
                    return level
            return 7

        def emit(self, record):
            try:
                level = self._level(record.levelno)
                if native.log_enabled(level):
                    native.log(level, self.format(record), record.pathname, record.lineno)
            except Exception:
                self.handleError(record)

    return LogHandler


class Restricted:
    """Stands for a stream that applications may not use."""
    __module__ = 'mod_wsgi'

    def __init__(self, name):
        object.__setattr__(self, '_Restricted__name', name)

    def __getattribute__(self, attribute):
        # Python itself asks for these when it shuts down.
        if attribute == 'flush':
            return lambda: None
        if attribute == 'closed':
            return True
        name = object.__getattribute__(self, '_Restricted__name')
        raise OSError('%s access restricted by mod_wsgi' % name)


class SignalIntercept:
    """Stands in for signal.signal: the process's signals are the server's. In children that the application forks it is
    the real one."""
    __module__ = 'mod_wsgi'

    def __init__(self, wrapped):
        self.wrapped = wrapped

    def __call__(self, signalnum, handler):
        if native.is_forked_child():
            return self.wrapped(signalnum, handler)
        log_ignored('Callback registration for signal %s ignored.' % int(signalnum))
        return handler


class ChangingFinder:
    """Finds modules that are changed when they are imported: imported ahead for that, they would take time and memory in
    processes that do without them."""
    __module__ = 'mod_wsgi'

    def __init__(self):
        self.changes = {}
        # What threads are looking for: applications put finders of their own around those that are there, and this one would ask
        # itself through them.
        self.searches = set()

    def change(self, name, function):
        """Has a module changed by `function`, now or when it is imported."""
        self.changes[name] = function
        if name in sys.modules:
            function(sys.modules[name])

    def find_spec(self, name, path=None, target=None):
        change = self.changes.get(name)
        search = name, threading.get_ident()
        if change is None or search in self.searches:
            return None
        self.searches.add(search)
        try:
            spec = find_module(name, path, target)
        finally:
            self.searches.discard(search)
        if spec is not None and spec.loader is not None:
            spec.loader = ChangingLoader(spec.loader, change)
        return spec


class ChangingLoader:
    """Loads a module as its own loader does, and changes it."""
    __module__ = 'mod_wsgi'

    def __init__(self, loader, change):
        self.loader, self.change = loader, change

    def create_module(self, spec):
        return self.loader.create_module(spec)

    def exec_module(self, module):
        module.__spec__.loader = module.__loader__ = self.loader
        self.loader.exec_module(module)
        self.change(module)


def find_module(name, path=None, target=None):
    """The spec of a module that is not imported yet; None where there is none."""
    for finder in list(sys.meta_path):
        find = getattr(finder, 'find_spec', None)
        spec = find and find(name, path, target)
        if spec is not None:
            return spec
    return None


def log_ignored(text):
    """Logs what was not done for an application, and the stack of its call."""
    import traceback
    native.log(6, text, None, 0)
    for line in ''.join(traceback.format_stack(sys._getframe(2))).splitlines():
        native.log(6, line, None, 0)


def make_stream(log):
    return io.TextIOWrapper(log, encoding='utf-8', errors='replace', line_buffering=True, write_through=True)


def format_exception(exception, secret=b''):
    import traceback
    trace = exception.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == '<mod_wsgi>':
        trace = trace.tb_next
    text = plain_names(''.join(traceback.format_exception(type(exception), exception, trace)), exception)
    return withhold(text, secret) if secret else text


def plain_names(text, exception):
    """The text with the control characters escaped that names of source files hold: its lines become records of a log."""
    names, seen, chain = set(), set(), [exception]
    while chain:
        exception = chain.pop()
        if exception is None or id(exception) in seen:
            continue
        seen.add(id(exception))
        chain += [exception.__cause__, exception.__context__]
        if isinstance(exception, SyntaxError):
            names.add(exception.filename)
        trace = exception.__traceback__
        while trace is not None:
            names.add(trace.tb_frame.f_code.co_filename)
            trace = trace.tb_next
    for name in names:
        if isinstance(name, str) and not name.isprintable():
            text = text.replace(name, name.encode('unicode_escape').decode('ascii'))
    return text


def withhold(text, secret):
    """The text without the lines that hold a secret: as it is, or as repr() and ascii() show it."""
    values = [secret, secret.decode('latin-1'), secret.decode('utf-8', 'replace')]
    forms = {form for value in values[1:] for form in (value, ascii(value)[1:-1], repr(value)[1:-1])}
    forms.add(repr(secret)[2:-1])
    note = '(withheld: it holds the password)'
    if any('\n' in form and form in text for form in forms):
        return note
    return '\n'.join(note if any(form in line for form in forms) else line for line in text.split('\n'))


def module_name(path):
    from _md5 import md5
    return '_mod_wsgi_' + md5(path).hexdigest()


def open_script(path, flags):
    """Opens a script whose owner matters. The file that the path leads to now is the one that is checked and read."""
    directory = os.open(os.path.dirname(path) or '.', os.O_PATH | os.O_DIRECTORY)
    try:
        script = os.open(os.path.basename(path), flags | os.O_NONBLOCK, dir_fd=directory)
        try:
            native.check_owner(script, directory)
        except BaseException:
            os.close(script)
            raise
        return script
    finally:
        os.close(directory)


def read_script(path):
    """A script's source, the time of the very file that it is from, and its age then, in nanoseconds."""
    opener = open_script if 'script-owner' in settings else None
    with open(path, 'rb', opener=opener) as script:
        modified = os.fstat(script.fileno()).st_mtime_ns
        age = time_ns() - modified
        return script.read(), modified, age


def compile_script(path, was_there):
    """A script's code, and the time of its file in microseconds.

    Clocks of file systems are coarse. A file written just now may be half written, and may be written again without getting
    another time: it is read again a moment later. So is, for longer, one that is empty or not Python: its writer may have been
    held up. A script that existed a moment ago is waited for, as some programs remove a file before they write it anew.
    """
    start = monotonic()
    while True:
        waited = monotonic() - start
        try:
            source, modified, age = read_script(path)
            settled = not 0 <= age < 20_000_000 or waited > 0.3
            if settled:
                code = compile(source, path, 'exec', dont_inherit=True)
                if source.strip() or not 0 <= age < 1_000_000_000 or waited > 1:
                    return code, modified // 1000
        except FileNotFoundError:
            if not was_there or waited > 0.3:
                raise
        except (SyntaxError, ValueError):
            if not 0 <= age < 300_000_000 or waited > 0.3:
                raise
        sleep(0.01)


def execute_script(code, name, path, mtime):
    module = types.ModuleType(name)
    module.__file__ = path
    module.__mtime__ = mtime
    sys.modules[name] = module
    try:
        exec(code, module.__dict__)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


def publish(callbacks, event, payload):
    """Calls each subscriber; a dict that one returns is merged into the next one's payload."""
    for callback in list(callbacks):
        try:
            result = callback(event, **payload)
        except BaseException as exception:
            native.log_callback_exception(exception, event)
        else:
            if isinstance(result, dict):
                payload.update(result)
    return payload


def end_executors():
    """Has idle threads of concurrent.futures end, as Python does before atexit functions run; nothing is waited for."""
    thread = sys.modules.get('concurrent.futures.thread')
    if thread is not None:
        thread._shutdown = True
        for queue in list(thread._threads_queues.values()):
            queue.put(None)


def subscribe_events(callback):
    module.event_callbacks.append(callback)
    native.subscribed()
    return callback


def subscribe_shutdown(callback):
    module.shutdown_callbacks.append(callback)
    return callback


def subscribe_signals(callback):
    if settings.get('process-group'):
        module.signal_callbacks.append(callback)
    else:
        log_ignored('Subscription to signals ignored in embedded mode.')
    return callback


def collector_snapshot():
    """Counts, thresholds, collections, collected and uncollectable by generation; enabled; frozen objects."""
    stats = gc.get_stats()
    numbers = [*gc.get_count(), *gc.get_threshold()]
    for key in ('collections', 'collected', 'uncollectable'):
        numbers += [generation[key] for generation in stats]
    return numbers + [int(gc.isenabled()), gc.get_freeze_count()]


def collect_nothing():
    """Holes that collected garbage leaves in pages would be filled in every process that is forked, and the pages copied."""
    global thresholds
    thresholds = gc.get_threshold()
    gc.set_threshold(0, *thresholds[1:])


def freeze_objects():
    gc.freeze()
    if gc.get_threshold()[0] == 0:
        gc.set_threshold(*thresholds)


def _own_environment(pristine, finder):
    """Gives this interpreter an environment of its own, which the programs that it starts get as well. Changes also reach the C
    environment, where C code looks: that is the whole process's, and the last change by any interpreter counts."""
    import posix
    environ = os.environ
    if pristine is not None:
        for names in (environ._data, posix.environ):
            names.clear()
            names.update(pristine)
    own = dict(environ._data)
    c_putenv, c_unsetenv = os.putenv, os.unsetenv

    def putenv(name, value, /):
        c_putenv(name, value)
        own[os.fsencode(name)] = os.fsencode(value)

    def unsetenv(name, /):
        c_unsetenv(name)
        own.pop(os.fsencode(name), None)

    def change_subprocesses(module):
        fork_exec = module.fork_exec

        def fork_exec_here(*arguments):
            if len(arguments) > 5 and arguments[5] is None:
                listed = [name + b'=' + value for name, value in own.copy().items()]
                arguments = arguments[:5] + (listed,) + arguments[6:]
            return fork_exec(*arguments)

        module.fork_exec = fork_exec_here
        loaded = sys.modules.get('subprocess')
        if loaded is not None and hasattr(loaded, '_fork_exec'):
            loaded._fork_exec = fork_exec_here

    def execv(path, argv, /):
        os.execve(path, argv, own)

    def system(command):
        command = os.fsencode(command)
        sys.audit('os.system', command)
        pid = os.posix_spawn('/bin/sh', ['sh', '-c', command], own)
        return os.waitpid(pid, 0)[1]

    def with_own_environment(spawn):
        # From 3.13 on None stands for the process's environment, and subprocess passes that.
        def spawn_here(path, argv, env, /, **options):
            return spawn(path, argv, own if env is None else env, **options)
        return spawn_here

    os.putenv, os.unsetenv = putenv, unsetenv
    finder.change('_posixsubprocess', change_subprocesses)
    os.execv = execv
    os.system = system
    os.posix_spawn = with_own_environment(os.posix_spawn)
    os.posix_spawnp = with_own_environment(os.posix_spawnp)


def _add_paths(paths):
    import site
    for path in paths:
        if not path:
            continue
        before = list(sys.path)
        try:
            site.addsitedir(path)
        except BaseException as exception:
            native.log(3, 'WSGI0091: Unable to add %r to sys.path: %s' % (path, exception), None, 0)
            return
        added = [entry for entry in sys.path if entry not in before]
        yield from added


def _leave_service(*_):
    """Tells a service script to end: it may tidy up as it would elsewhere."""
    raise SystemExit(0)


def _restrict_signals(signal):
    signal.signal = SignalIntercept(signal.signal)


def add_path_layer(layer):
    added = list(_add_paths(layer.split(':')))
    sys.path[:] = added + [entry for entry in sys.path if entry not in added]


def configure(info):
    """Sets up streams, signals, environment, path and modules. `info` is made by the adapter."""
    global module
    main = info['application_group'] == ''
    daemon = bool(settings.get('process-group'))
    finder = ChangingFinder()
    sys.meta_path.insert(0, finder)
    _own_environment(None if main else info['pristine'], finder)
    sys.stderr = make_stream(native.stream('<stderr>'))
    if not settings.get('single-process'):
        if info['restrict_stdout']:
            sys.stdout = Restricted('sys.stdout')
        else:
            sys.stdout = make_stream(native.stream('<stdout>'))
        if info['restrict_stdin']:
            sys.stdin = Restricted('sys.stdin')
    sys.argv = ['mod_wsgi']
    if settings.get('threads') == '0' and main:
        import signal
        signal.signal(signal.SIGTERM, _leave_service)
    elif settings.get('threads') == '0':
        native.log(4, 'WSGI0090: Cannot stop a service script in a sub-interpreter: Python handles signals in the'
                   ' main interpreter only. Set application-group=%{GLOBAL}.', None, 0)
    if info['restrict_signal']:
        finder.change('signal', _restrict_signals)
    if daemon:
        name, home = settings.get('user-name'), settings.get('user-home')
        for key in ('USER', 'USERNAME', 'LOGNAME'):
            if name and key in os.environ:
                os.environ[key] = name
        if home:
            os.environ['HOME'] = home
    if settings.get('python-eggs'):
        os.environ['PYTHON_EGG_CACHE'] = settings['python-eggs']
    for layer in info['path_layers']:
        add_path_layer(layer)
    if daemon and settings.get('home'):
        sys.path.insert(0, settings['home'])
    module = _make_module(info)
    sys.modules['mod_wsgi'] = module
    if settings.get('preloader') == '1':
        collect_nothing()
    if settings.get('telemetry-target'):
        gc.callbacks.append(native.collector_event)
    sys.modules['apache'] = _make_apache_module(info, daemon)


def read_configuration(home):
    """The text of an environment's pyvenv.cfg; '' where there is none."""
    try:
        with open(os.path.join(home, 'pyvenv.cfg'), encoding='utf-8', errors='replace') as file:
            return file.read()
    except OSError:
        return ''


def _make_module(info):
    made = types.ModuleType('mod_wsgi')
    try:
        spec = find_module('mod_wsgi')
    except (ImportError, ValueError, AttributeError):
        spec = None
    if spec is not None and spec.submodule_search_locations:
        made.__path__ = list(spec.submodule_search_locations)
    for name in ('version', '__version__', 'process_group', 'application_group', 'maximum_processes', 'threads_per_process',
                 'active_requests'):
        setattr(made, name, info[name])
    for part in (FileWrapper, RequestTimeout, subscribe_events, subscribe_shutdown, subscribe_signals):
        setattr(made, part.__name__, part)
    for name in ('event_callbacks', 'shutdown_callbacks', 'signal_callbacks'):
        setattr(made, name, [])
    for name in ('request_data', 'server_metrics', 'process_metrics', 'request_metrics', 'start_recording_metrics',
                 'reload'):
        setattr(made, name, getattr(native, name))
    _offer_log_handler(made)
    return made


def _offer_log_handler(made):
    """Adds LogHandler to the module, for which logging is imported, when somebody asks for it."""
    def find(name):
        if name == 'LogHandler':
            return vars(made).setdefault(name, make_log_handler())
        raise AttributeError("module 'mod_wsgi' has no attribute %r" % (name,), name=name, obj=made)

    made.__all__ = [*(name for name in vars(made) if name[0] != '_'), 'LogHandler']
    made.__getattr__ = find
    made.__dir__ = lambda: sorted({*vars(made), 'LogHandler'} - {'__getattr__', '__dir__'})


def _make_apache_module(info, daemon):
    made = None
    if not daemon:
        try:
            import apache as made
        except ImportError:
            made = None
    if made is None:
        made = types.ModuleType('apache')
    made.version = info['apache_version']
    made.description = settings.get('apache-description', '')
    made.mpm_name = settings.get('mpm-name', '')
    made.build_date = settings.get('apache-built', '')
    made.maximum_processes = info['mpm_processes']
    made.threads_per_process = info['mpm_threads']
    return made
