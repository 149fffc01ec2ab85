# mod_wsgi: hosts Python WSGI applications in Apache httpd.  `make help` lists what can be made.
#
# Found by themselves, and overridable on the command line or in the environment:
#   APXS=/usr/bin/apxs  PYTHON=/usr/bin/python3  SWIFT=swift  DESTDIR=  APP=path  PORT=8000  VENV=directory

PYTHON ?= /usr/bin/python3
SWIFT ?= swift
APXS ?= $(shell command -v apxs || command -v apxs2 || echo apxs)
APR_CONFIG ?= $(shell command -v apr-1-config || command -v apr-config || echo apr-1-config)
APP ?= conf/hello.wsgi
PORT ?=
T ?=
DESTDIR ?=
DOCDIR ?= /usr/share/doc/libapache2-mod-wsgi-swift
STAGE ?= .build-stage
FUZZ_SECONDS ?= 60
FUZZ_TARGETS ?= frames queue control settings responses configuration cookies
SANITIZE ?= address thread integration

# What the build asks of PYTHON; evaluated when a recipe runs, that is after packages have been installed.
python_says = $(shell $(PYTHON) -c 'import sysconfig; print(sysconfig.get_config_var("$(1)") or "")' 2>/dev/null)
python_version = $(call python_says,py_version_short)
python_library_path = $(call python_says,LIBDIR)
apxs_says = $(shell $(APXS) -q $(1) 2>/dev/null)
# The interpreter by the name of its version: `python3` may be another one after an upgrade of the system.
python_program = $(shell $(PYTHON) -c 'import os, sys, sysconfig; v = sysconfig.get_config_var; \
  p = os.path.join(v("BINDIR") or "", "python" + (v("VERSION") or "")); \
  print(p if os.access(p, os.X_OK) else sys._base_executable)' 2>/dev/null)
# A libpython outside the loader's own directories is found by the path it was built with.
rpath = $(if $(filter /usr/lib /usr/lib/% /lib/% /usr/lib64,$(python_library_path)),,-Xlinker -rpath -Xlinker $(python_library_path))
swift_environment = WSGI_HTTPD_INCLUDE="$(call apxs_says,INCLUDEDIR)" WSGI_APR_INCLUDE="$(shell $(APR_CONFIG) --includedir)" \
  WSGI_PYTHON_INCLUDE="$(call python_says,INCLUDEPY)" WSGI_PYTHON_LIBRARY="python$(call python_says,LDVERSION)" \
  WSGI_PYTHON_LIBRARY_PATH="$(python_library_path)" WSGI_PYTHON_PROGRAM="$(python_program)" \
  WSGI_MODULE_DIRECTORY="$(call apxs_says,LIBEXECDIR)" WSGI_RUNTIME_DIRECTORY="$(call apxs_says,runtimedir)" \
  WSGI_HTTPD="$(call apxs_says,SBINDIR)/$(call apxs_says,PROGNAME)"
swift_build = @$(swift_environment) $(SWIFT)
# The engine's own Python sources, compiled for the Python that it is for.
code = $(CURDIR)/.build-$(python_version)/python_code.h
# Self-contained images: the Swift runtime is linked in, so that a server needs none, and what that needs of libstdc++ too, whose
# symbols would be looked up again in every process that starts. (libgcc_s stays a library: threads that end may need it when it
# cannot be opened any more.) Nothing is looked for beside them, and they name no directory of the machine that built them.
libraries = $(CURDIR)/.build-libraries
libstdcxx = $(lastword $(shell ls -v /usr/lib/gcc/$$(uname -m)-*linux*/*/libstdc++.a 2>/dev/null))
unnamed = $(CURDIR)/=
release = -c release -Xswiftc -static-stdlib --disable-local-rpath -Xswiftc -L -Xswiftc $(libraries) \
  -Xcc -ffile-prefix-map=$(unnamed) -Xswiftc -file-prefix-map -Xswiftc $(unnamed)

# What Swift's tools, as swift.org has them for Debian 12, need of Debian; swiftly and Docker images bring it along.
SWIFT_PACKAGES = binutils g++ git libcurl4 libncurses6 libsqlite3-0 libuuid1 libxml2 pkg-config tzdata zlib1g
# An apxs or a Python from elsewhere comes with its own headers.
BUILD_PACKAGES = $(if $(filter apxs /usr/bin/apxs /usr/bin/apxs2,$(APXS)),apache2-bin apache2-dev) python3 \
  $(if $(filter /usr/bin/%,$(PYTHON)),libpython3-dev) $(SWIFT_PACKAGES)
DEB_PACKAGES = $(BUILD_PACKAGES) debhelper dpkg-dev lintian
DEB_TEST_PACKAGES = $(DEB_PACKAGES) debootstrap iproute2
TEST_PACKAGES = $(BUILD_PACKAGES) apache2 python3-venv curl nghttp2-client openssl procps git strace gcc libnss-wrapper
BENCH_PACKAGES = $(TEST_PACKAGES) wrk uwsgi-core uwsgi-plugin-python3 libapache2-mod-proxy-uwsgi valgrind

.DEFAULT_GOAL := help
.PHONY: help run test unit integration bench bench-fairness bench-losses bench-instructions bench-syscalls bench-own-gil bench-hosting bench-reloads fuzz sanitize all engine install uninstall manual deb test-deb lint format clean
.PHONY: build-packages test-packages bench-packages deb-packages deb-test-packages tools module command

help:
	@echo 'make run          build, and serve a sample application on http://127.0.0.1:8000/ (APP=script.wsgi PORT=n)'
	@echo 'make test         build, run the unit tests and the integration tests (parts: make unit, make integration)'
	@echo 'make test T=word  those that have the word in their names, or in those of their folder, file or suite'
	@echo 'make bench        build, and measure side by side with other servers'
	@echo 'make bench-instructions  count the instructions of a request (BENCH=--top: and where they are spent)'
	@echo 'make bench-syscalls      count the system calls of a request'
	@echo 'make bench-hosting what many process groups and tenants cost, beside mod_wsgi 6.1.1'
	@echo 'make bench-reloads what reloading one of three applications in a process costs: PYTHON=/path/to/python3.X'
	@echo 'make bench-losses what requests are lost to while processes are replaced, beside mod_wsgi 6.1.1'
	@echo 'make bench-fairness what clients that compute, send or read slowly cost others, beside mod_wsgi 6.1.1'
	@echo 'make bench-own-gil        what a GIL for each interpreter is worth: PYTHON=/path/to/python3.12'
	@echo 'make fuzz         the readers of frames, messages, settings, configuration and cookies under libFuzzer,'
	@echo '                  for FUZZ_SECONDS=$(FUZZ_SECONDS) each: FUZZ_TARGETS="$(FUZZ_TARGETS)"'
	@echo 'make sanitize     the unit tests under AddressSanitizer and ThreadSanitizer, and the integration'
	@echo '                  tests under AddressSanitizer: SANITIZE="$(SANITIZE)"'
	@echo 'make all          mod_wsgi.so, wsgi-engine-$(or $(python_version),3.X).so, wsgi-worker and wsgictl, in $(STAGE)/'
	@echo 'make engine       one more engine: PYTHON=/path/to/python3.X'
	@echo 'make install      into the directory that apxs names (DESTDIR= for packagers), with conf/ for a2enmod,'
	@echo '                  and the manual into DOCDIR=$(DOCDIR)'
	@echo 'make manual       HTML of conf/manual, in .build-manual/'
	@echo 'make uninstall    remove what make install has put there'
	@echo 'make deb          Debian packages of the module and of each engine, in .build-packages/'
	@echo 'make test-deb     install, upgrade, remove and purge them in fresh Debian 12 systems (as root; fetches those once)'
	@echo 'make lint         check the arrows between rooms, names, the images and the formatting'
	@echo 'make format       format the Swift sources'
	@echo 'make clean        remove what was built'
	@echo
	@echo 'APXS=$(APXS)  PYTHON=$(PYTHON)  SWIFT=$(SWIFT)'

run: all
	@$(STAGE)/wsgictl serve $(if $(PORT),--port '$(PORT)') $(if $(VENV),--venv '$(VENV)') '$(APP)'

test: test-packages all
	@$(swift_environment) $(PYTHON) Tests/run.py --matching '$(T)' --stage $(STAGE) --swift '$(SWIFT)'

unit: test-packages tools
	@$(swift_environment) $(PYTHON) Tests/run.py --only unit --matching '$(T)' --swift '$(SWIFT)'

integration: test-packages all
	@$(PYTHON) Tests/run.py --only integration --matching '$(T)' --stage $(STAGE)

bench: bench-packages all
	@$(PYTHON) Tests/bench/bench.py --module $(STAGE)/mod_wsgi.so $(BENCH)
	@[ -n '$(BENCH)' ] || $(PYTHON) Tests/bench/bench.py --module $(STAGE)/mod_wsgi.so --density
	@[ -n '$(BENCH)' ] || $(PYTHON) Tests/bench/fairness.py --module $(STAGE)/mod_wsgi.so

# The same images with their symbols, by which functions are told apart; valgrind cannot read the debugger's part of them.
bench-instructions: bench-packages all
	@mkdir -p '$(STAGE)-symbols'
	@$(call stage,.build/release/libmod_wsgi.so,mod_wsgi.so,--strip-debug,$(STAGE)-symbols)
	@$(call stage,.build/release/wsgi-worker,wsgi-worker,--strip-debug,$(STAGE)-symbols)
	@$(call stage,.build-$(python_version)/release/libwsgi-engine.so,wsgi-engine-$(python_version).so,--strip-debug,$(STAGE)-symbols)
	@$(PYTHON) Tests/bench/instructions.py --module $(STAGE)-symbols/mod_wsgi.so $(BENCH)

bench-hosting: bench-packages all
	@WSGI_MODULE=$(STAGE)/mod_wsgi.so $(PYTHON) Tests/bench/hosting.py $(BENCH)

bench-reloads: bench-packages engine
	@test -f '$(STAGE)/mod_wsgi.so' || $(MAKE) --no-print-directory module PYTHON=/usr/bin/python3
	@WSGI_MODULE=$(STAGE)/mod_wsgi.so python3 Tests/bench/reloads.py --python '$(PYTHON)' $(BENCH)

bench-losses: bench-packages all
	@WSGI_MODULE=$(STAGE)/mod_wsgi.so $(PYTHON) Tests/bench/compare_losses.py $(BENCH)

bench-fairness: bench-packages all
	@$(PYTHON) Tests/bench/fairness.py --module $(STAGE)/mod_wsgi.so $(BENCH)

bench-syscalls: bench-packages all
	@$(PYTHON) Tests/bench/syscalls.py --module $(STAGE)/mod_wsgi.so $(BENCH)

# One more engine beside what is there: the module keeps the Python that it was built for.
bench-own-gil: bench-packages engine
	@test -f '$(STAGE)/mod_wsgi.so' || $(MAKE) --no-print-directory module PYTHON=/usr/bin/python3
	@python3 Tests/bench/own_gil.py --module $(STAGE)/mod_wsgi.so --python '$(PYTHON)' $(BENCH)

# Apart from the ordinary build, so that nothing else is instrumented; what it found is kept for the next time.
fuzz: tools
	@for program in FrameFuzz MessageFuzz; do \
	  WSGI_FUZZ=1 $(SWIFT) build --scratch-path .build-fuzz --product $$program -Xswiftc -sanitize=fuzzer,address \
	    -Xcc -fsanitize=fuzzer-no-link,address || exit 1; done
	@for target in $(FUZZ_TARGETS); do \
	  case $$target in frames|queue) program=FrameFuzz ;; *) program=MessageFuzz ;; esac; \
	  echo "== $$target =="; mkdir -p .build-fuzz/corpus-$$target && \
	  WSGI_FUZZ_TARGET=$$target .build-fuzz/debug/$$program -max_total_time=$(FUZZ_SECONDS) -max_len=8192 -print_funcs=0 \
	    -print_final_stats=1 -artifact_prefix=.build-fuzz/$$target- .build-fuzz/corpus-$$target || exit 1; \
	  echo "$$target: nothing found; the corpus has $$(ls .build-fuzz/corpus-$$target | wc -l) inputs"; done

sanitize: test-packages tools
	@$(swift_environment) $(PYTHON) Tests/sanitize.py --parts '$(SANITIZE)' --swift '$(SWIFT)' \
	  --stage $(STAGE)-asan --python-version $(python_version) --engine-flags='$(rpath)'

all: module engine command
	@echo "Ready in $(STAGE)/: $$(cd $(STAGE) && ls | tr '\n' ' ')"

module: tools
	@echo '== mod_wsgi.so and wsgi-worker =='
	$(swift_build) build $(release) --product mod_wsgi
	$(swift_build) build $(release) --product wsgi-worker
	@mkdir -p $(STAGE)
	@$(call stage,.build/release/libmod_wsgi.so,mod_wsgi.so,--strip-unneeded)
	@$(call stage,.build/release/wsgi-worker,wsgi-worker,--strip-all)

command: tools
	@echo '== wsgictl =='
	$(swift_build) build $(release) --product wsgictl
	@mkdir -p $(STAGE)
	@$(call stage,.build/release/wsgictl,wsgictl,--strip-all)

# Each Python has a build directory of its own, so that going back and forth between two of them rebuilds nothing.
engine: tools
	@test -f '$(call python_says,INCLUDEPY)/Python.h' || { echo "$(PYTHON): no Python.h in '$(call python_says,INCLUDEPY)';" \
	  "install that Python's development files (Debian: apt-get install libpython3-dev)" >&2; exit 1; }
	@test "$(call python_says,Py_ENABLE_SHARED)" = 1 || { echo "$(PYTHON) has no shared library: an engine needs a Python" \
	  "that was configured with --enable-shared" >&2; exit 1; }
	@echo '== wsgi-engine-$(python_version).so for $(PYTHON) =='
	@$(PYTHON) shim/precompile.py '$(code)' Sources/WSGIAdapter/Python/*.py
	@WSGI_ENGINE_ONLY=1 WSGI_PYTHON_CODE='$(code)' $(swift_environment) $(SWIFT) build $(release) --product wsgi-engine \
	  --scratch-path .build-$(python_version) $(rpath)
	@mkdir -p $(STAGE)
	@$(call stage,.build-$(python_version)/release/libwsgi-engine.so,wsgi-engine-$(python_version).so,--strip-unneeded)

# A running httpd may have the old image mapped: a new file takes its name, the old one is never written to.
stage = strip $(3) -o '$(or $(4),$(STAGE))/.new' '$(1)' && chmod 755 '$(or $(4),$(STAGE))/.new' && \
  mv '$(or $(4),$(STAGE))/.new' '$(or $(4),$(STAGE))/$(2)'

# Beside the directory of programs; zsh looks where distributions have it look.
share = $(DESTDIR)$(patsubst %/bin,%,$(call apxs_says,bindir))/share
zsh_functions = zsh/$(if $(wildcard /etc/debian_version),vendor-completions,site-functions)

install:
	@test -f $(STAGE)/mod_wsgi.so || { echo "Nothing is built yet: make all, then make install" >&2; exit 1; }
	@$(call refuse_packages,purge)
	install -d '$(DESTDIR)$(call apxs_says,LIBEXECDIR)'
	install -m 644 $(STAGE)/mod_wsgi.so $(STAGE)/wsgi-engine-*.so '$(DESTDIR)$(call apxs_says,LIBEXECDIR)'
	install -m 755 $(STAGE)/wsgi-worker '$(DESTDIR)$(call apxs_says,LIBEXECDIR)'
	install -d '$(DESTDIR)$(call apxs_says,bindir)'
	install -m 755 $(STAGE)/wsgictl '$(DESTDIR)$(call apxs_says,bindir)'
	install -d '$(share)/man/man1' '$(share)/bash-completion/completions' '$(share)/$(zsh_functions)'
	@$(STAGE)/wsgictl --experimental-dump-help | conf/manual-page > '$(share)/man/man1/wsgictl.1'
	@$(STAGE)/wsgictl --generate-completion-script bash | sed '1{/^#!/d}' > '$(share)/bash-completion/completions/wsgictl'
	@$(STAGE)/wsgictl --generate-completion-script zsh > '$(share)/$(zsh_functions)/_wsgictl'
	install -d '$(DESTDIR)$(DOCDIR)/manual' '$(DESTDIR)$(DOCDIR)/containers' '$(DESTDIR)$(DOCDIR)/monitoring'
	install -m 644 conf/manual/*.md '$(DESTDIR)$(DOCDIR)/manual'
	install -m 644 conf/containers/* '$(DESTDIR)$(DOCDIR)/containers'
	install -m 644 conf/monitoring/* '$(DESTDIR)$(DOCDIR)/monitoring'
	@if test -d '$(call apxs_says,SYSCONFDIR)/mods-available' -o -f /etc/debian_version; then \
	  install -d '$(DESTDIR)$(call apxs_says,SYSCONFDIR)/mods-available' && \
	  sed 's|@LIBEXECDIR@|$(call apxs_says,LIBEXECDIR)|' conf/wsgi.load \
	    > '$(DESTDIR)$(call apxs_says,SYSCONFDIR)/mods-available/wsgi.load' && \
	  conf='$(DESTDIR)$(call apxs_says,SYSCONFDIR)/mods-available/wsgi.conf' && \
	  if test -e "$$conf" && ! cmp -s conf/wsgi.conf "$$conf"; then \
	    echo "Kept, since it differs from conf/wsgi.conf: $$conf"; \
	  else \
	    install -m 644 conf/wsgi.conf "$$conf"; \
	  fi && \
	  echo 'Installed. Enable it with: a2enmod wsgi && systemctl restart apache2'; \
	else \
	  echo 'Installed. Add to httpd.conf: LoadModule wsgi_module $(call apxs_says,LIBEXECDIR)/mod_wsgi.so'; \
	fi

# With the environment of the tests, which has what reads Markdown.
manual:
	@$(PYTHON) Tests/run.py --only environment
	@.build-venv/bin/python conf/manual.py .build-manual

# A configuration that was changed stays.
uninstall:
	@$(call refuse_packages,remove)
	@if test -z '$(DESTDIR)' -a -e '$(call apxs_says,SYSCONFDIR)/mods-enabled/wsgi.load'; then a2dismod -q wsgi; fi
	rm -f '$(DESTDIR)$(call apxs_says,LIBEXECDIR)/mod_wsgi.so' '$(DESTDIR)$(call apxs_says,LIBEXECDIR)'/wsgi-engine-*.so \
	  '$(DESTDIR)$(call apxs_says,LIBEXECDIR)/wsgi-worker' '$(DESTDIR)$(call apxs_says,bindir)/wsgictl' \
	  '$(share)/man/man1/wsgictl.1' '$(share)/bash-completion/completions/wsgictl' '$(share)/$(zsh_functions)/_wsgictl' \
	  '$(DESTDIR)$(call apxs_says,SYSCONFDIR)/mods-available/wsgi.load'
	rm -rf '$(DESTDIR)$(DOCDIR)/manual' '$(DESTDIR)$(DOCDIR)/containers' '$(DESTDIR)$(DOCDIR)/monitoring'
	@conf='$(DESTDIR)$(call apxs_says,SYSCONFDIR)/mods-available/wsgi.conf'; \
	  if cmp -s conf/wsgi.conf "$$conf"; then rm "$$conf"; elif test -e "$$conf"; then echo "Kept, since it was changed: $$conf"; fi
	@echo 'Uninstalled. A running httpd has the module until it is restarted.'

deb: deb-packages all
	@conf/debian/package '$(CURDIR)' '$(STAGE)' $(python_version) '$(CURDIR)/.build-packages' && ls .build-packages/*.deb

test-deb: deb-test-packages all
	@python3 Tests/packages/test_packages.py --directory .build-debian --stage '$(STAGE)' --python $(python_version) --matching '$(T)'

lint:
	@python3 Tests/lint.py --swift '$(SWIFT)' --stage $(STAGE)

format:
	$(SWIFT) format format --in-place --parallel --recursive Package.swift Sources Tests

clean:
	find Tests -name __pycache__ -prune -exec rm -rf {} +
	rm -rf .build .build-* .pytest_cache

# Recipes above that need tools say so here, in words, before a compiler says it in its own.
tools: build-packages
	@mkdir -p '$(libraries)' && $(if $(libstdcxx),ln -sf '$(libstdcxx)' '$(libraries)/libstdc++.a',true)
	@command -v '$(firstword $(SWIFT))' >/dev/null || { echo "Swift 6.3 is needed and 'swift' is not on PATH: install it" \
	  "(https://www.swift.org/install/linux) or give SWIFT=/path/to/swift" >&2; exit 1; }
	@command -v '$(APXS)' >/dev/null || { echo "apxs is needed: apt-get install apache2-dev, or give APXS=/path/to/apxs" >&2; exit 1; }
	@command -v '$(APR_CONFIG)' >/dev/null || { echo "apr-1-config is needed: apt-get install libapr1-dev, or give" \
	  "APR_CONFIG=/path/to/apr-1-config" >&2; exit 1; }
	@command -v '$(PYTHON)' >/dev/null || { echo "$(PYTHON) is needed: apt-get install python3, or give PYTHON=/path" >&2; exit 1; }

build-packages:
	@$(call install_missing,$(BUILD_PACKAGES))
test-packages:
	@$(call install_missing,$(TEST_PACKAGES))
bench-packages:
	@$(call install_missing,$(BENCH_PACKAGES))

deb-packages:
	@$(call install_missing,$(DEB_PACKAGES))
deb-test-packages:
	@$(call install_missing,$(DEB_TEST_PACKAGES))

# A package's files are its own: its next upgrade would put them back, and its removal would take ours along.
define refuse_packages
test -z '$(DESTDIR)' || exit 0; \
found=$$(dpkg-query -W -f '$${Package} $${db:Status-Status} ' libapache2-mod-wsgi-py3 libapache2-mod-wsgi-swift 2>/dev/null); \
for name in libapache2-mod-wsgi-py3 libapache2-mod-wsgi-swift; do case "$$found" in *"$$name installed "*) \
  echo "mod_wsgi belongs to a package here: apt-get $(1) $$name" >&2; exit 1 ;; esac; done
endef

# Installs the Debian packages that are missing, or says how to; elsewhere `tools` says what to look for.
define install_missing
command -v dpkg-query >/dev/null || exit 0; \
there=" $$(dpkg-query -W -f '$${Package}=$${db:Status-Status} ' $(1) 2>/dev/null)"; \
missing=; for name in $(1); do case "$$there" in *" $$name=installed "*) ;; *) missing="$$missing $$name" ;; esac; done; \
test -n "$$missing" || exit 0; \
command="apt-get install --no-install-recommends$$missing"; echo "Debian packages are missing:$$missing"; \
root=; if test "$$(id -u)" != 0; then root=sudo; command -v sudo >/dev/null || { \
  echo "Nothing has been built yet. First, as root: $$command" >&2; exit 1; }; fi; \
$$root apt-get update -q && $$root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -q -y --no-install-recommends $$missing || { \
  echo "They could not be installed; nothing has been built yet. As root: $$command" >&2; exit 1; }
endef
