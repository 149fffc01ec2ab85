import PythonRuntime

/// The types of an interpreter whose behaviour is Swift's.
struct NativeTypes {
  let startResponse: NativeType
  let input: NativeType
  let log: NativeType
  let functions: NativeType
  let ssl: NativeType
}
