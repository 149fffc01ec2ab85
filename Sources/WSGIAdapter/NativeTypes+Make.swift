import PythonRuntime

extension NativeTypes {
  init() throws(Raised) {
    startResponse = try NativeType("mod_wsgi.Adapter", methods: StartResponse.methods, traits: .callable)
    input = try NativeType("mod_wsgi.Input", methods: InputStream.methods, traits: .iterator)
    log = try NativeType("mod_wsgi.Log", methods: LogStream.methods, traits: .hasDict)
    functions = try NativeType("mod_wsgi.Functions", methods: NativeFunctions.methods, traits: [])
    ssl = try NativeType("mod_wsgi.RequestFunction", methods: [], traits: .callable)
  }
}
