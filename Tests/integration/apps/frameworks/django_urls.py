import hashlib

from django.conf import settings
from django.contrib import admin
from django.http import FileResponse, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt


def name(request):
    return HttpResponse(settings.NAME)


@csrf_exempt
def upload(request):
    digest, size = hashlib.sha256(), 0
    for chunk in request.FILES["file"].chunks():
        digest.update(chunk)
        size += len(chunk)
    return JsonResponse({"size": size, "sha256": digest.hexdigest(), "field": request.POST["field"]})


def stream(request):
    return StreamingHttpResponse((b"%05d\n" % number for number in range(20000)), content_type="text/plain")


def file(request):
    return FileResponse(open(settings.__dict__.get("FILE", __file__), "rb"))


def fail(request):
    raise ValueError("the view fails")


urlpatterns = [path("admin/", admin.site.urls), path("name", name), path("upload", upload), path("stream", stream),
               path("file", file), path("fail", fail)]
