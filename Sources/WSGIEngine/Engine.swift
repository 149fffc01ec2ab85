import CEngine
import WSGIAdapter
@c(wsgi_engine) public func engine() { hello2() }
