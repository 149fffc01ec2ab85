/// Bytes for a message to people: as Python writes them, `b'…'`, cut after `limit` of them.
public func bytesLiteral(_ bytes: UnsafeRawBufferPointer, limit: Int = 200) -> String {
  let digits = Array("0123456789abcdef")
  var text = "b'"
  for byte in bytes.prefix(limit) {
    switch byte {
    case 0x09: text += "\\t"
    case 0x0A: text += "\\n"
    case 0x0D: text += "\\r"
    case 0x27, 0x5C:
      text += "\\"
      text.unicodeScalars.append(Unicode.Scalar(byte))
    case 0x20..<0x7F: text.unicodeScalars.append(Unicode.Scalar(byte))
    default:
      text += "\\x"
      text.append(digits[Int(byte >> 4)])
      text.append(digits[Int(byte & 15)])
    }
  }
  return text + (bytes.count > limit ? "'..." : "'")
}
