import hashlib

from flask import Flask, Response, jsonify, request, session, stream_with_context

application = Flask(__name__)
application.secret_key = "a key for tests"


@application.route("/count")
def count():
    session["count"] = session.get("count", 0) + 1
    return jsonify(count=session["count"])


@application.route("/form", methods=["POST"])
def form():
    sent = request.files["file"].read()
    return jsonify(field=request.form["field"], size=len(sent), sha256=hashlib.sha256(sent).hexdigest())


@application.route("/stream")
def stream():
    return Response(stream_with_context("%05d\n" % number for number in range(20000)), mimetype="text/plain")


@application.route("/fail")
def fail():
    raise ValueError("the view fails")
