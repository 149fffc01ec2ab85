import WSGICore
