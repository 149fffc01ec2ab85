import Glibc

exit(WorkerMain.run())
