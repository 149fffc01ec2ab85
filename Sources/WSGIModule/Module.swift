import CHTTPD
@c @implementation
func wsgi_swift_hello() -> Int32 { 1 }
