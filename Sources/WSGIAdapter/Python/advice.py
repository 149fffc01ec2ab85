"""Advice to an administrator about an exception whose cause lies outside the application: a module that is not found, a file
that the process's user may not read.  Executed in the namespace of bootstrap.py when the first exception is logged.
"""


def advise(exception, script, place):
    """Log lines, each with its number. `script`: the path of the WSGI script, or None; `place`: the interpreter's name."""
    lines, seen = [], set()
    while exception is not None and id(exception) not in seen and len(seen) < 16:
        seen.add(id(exception))
        name, path = getattr(exception, 'name', None), getattr(exception, 'filename', None)
        if isinstance(exception, ModuleNotFoundError) and isinstance(name, str):
            lines += _about_missing(name, script, place)
        elif isinstance(exception, PermissionError) and isinstance(path, (str, bytes)):
            lines += _about_permission(os.fsdecode(path), os.R_OK)
        exception = exception.__cause__ or (None if exception.__suppress_context__ else exception.__context__)
    return list(dict.fromkeys(lines))


def _about_missing(name, script, place):
    parent, _, _ = name.rpartition('.')
    if parent in sys.modules:
        origin = getattr(sys.modules[parent], '__file__', None) or list(getattr(sys.modules[parent], '__path__', []))
        where = "in %r, which is %r" % (parent, origin)
    else:
        where = 'on sys.path'
    version = '.'.join(map(str, sys.version_info[:3]))
    line = ("WSGI0610: Module %r was not found %s by the %s of Python %s (%s). sys.path is %r."
            % (name, where, place, version, sys.executable or sys.prefix, sys.path))
    hidden = []
    for entry in sys.path:
        if isinstance(entry, str) and entry:
            hidden += _about_permission(entry, os.R_OK | os.X_OK)
    if parent not in sys.modules and not hidden:
        line += ' ' + _remedy(name.partition('.')[0], script)
    return [line] + hidden


def _remedy(name, script):
    daemon = bool(settings.get('process-group'))
    path_option = "python-path=%s on WSGIDaemonProcess" if daemon else "WSGIPythonPath %s"
    home_option = "python-home=%s on WSGIDaemonProcess" if daemon else "WSGIPythonHome %s"
    directory = os.path.dirname(script) if script else '/'
    for _ in range(3):
        if directory in ('', '/'):
            break
        if os.path.isdir(os.path.join(directory, name)) or os.path.isfile(os.path.join(directory, name + '.py')):
            return "It is in '%s': %s adds that directory." % (directory, path_option % directory)
        for environment in ('venv', '.venv', 'env'):
            home = os.path.join(directory, environment)
            if home != sys.prefix and _has_package(home, name):
                return "The virtual environment '%s' has it: %s." % (home, home_option % home)
        directory = os.path.dirname(directory)
    return ('Install it for that Python, or name the virtual environment that has it with %s, or the directory with %s.'
            % (home_option.partition('%')[0] + '…', path_option.partition('%')[0] + '…'))


def _has_package(home, name):
    library = os.path.join(home, 'lib', 'python%d.%d' % sys.version_info[:2], 'site-packages', name)
    return os.path.isdir(library) or os.path.isfile(library + '.py')


def _about_permission(path, wanted):
    """Names the component of `path` that keeps the process's user from reading it, if one does, and the remedy."""
    if not os.path.isabs(path):
        return []
    before = '/'
    for component in [part for part in path.split('/') if part]:
        if not os.access(before, os.X_OK):
            return [_refusal(before, os.X_OK, path)]
        before = os.path.join(before, component)
        if not os.path.lexists(before):
            return []
    return [] if os.access(before, wanted) else [_refusal(before, wanted, path)]


def _refusal(component, wanted, path):
    try:
        about = os.stat(component)
    except OSError as exception:
        return "WSGI0611: '%s' cannot be read: %s." % (component, exception)
    user = os.geteuid()
    if about.st_uid == user:
        who, shift = 'u', 6
    elif about.st_gid in [os.getegid(), *os.getgroups()]:
        who, shift = 'g', 3
    else:
        who, shift = 'o', 0
    verb = 'enter' if wanted == os.X_OK else 'read'
    on_the_way = "" if component == path else " on the way to '%s'" % path
    line = ("WSGI0611: User '%s' may not %s '%s'%s (mode %04o, owner '%s', group '%s')."
            % (_account(user), verb, component, on_the_way, about.st_mode & 0o7777, _account(about.st_uid),
               _account(about.st_gid, 'grp', 'getgrgid')))
    lacking = wanted & ~(about.st_mode >> shift & 7)
    if not lacking:
        return line + ' Its mode allows that: check access control lists, AppArmor and SELinux.'
    letters = ('r' if lacking & os.R_OK else '') + ('x' if lacking & os.X_OK else '')
    return line + " 'chmod %s+%s %s' allows it." % (who, letters, component)


def _account(number, database='pwd', look_up='getpwuid'):
    """The name of a user or a group; the number where there is none."""
    try:
        return getattr(__import__(database), look_up)(number)[0]
    except (ImportError, KeyError, OSError):
        return str(number)


def name_substitute(namespace):
    """Advice about a script without the callable that it should have: '' unless it has one of another usual name."""
    for name in ('app', 'wsgi_app', 'create_app', 'make_app'):
        found = namespace.get(name)
        if not callable(found):
            continue
        if name.endswith('_app') and name != 'wsgi_app':
            return " It has '%s': add \"application = %s()\" to it." % (name, name)
        return (" It has '%s': set 'WSGICallableObject %s' (or callable-object=%s on WSGIScriptAlias), or add"
                " \"application = %s\" to it." % (name, name, name, name))
    return ''
