#!/bin/bash
# graphite-web.sh DIR PORT WHISPER_DIR CARBON_QUERY_PORT [CACHE_SECONDS]: graphite-web on loopback with its files in DIR, in
# the foreground, reading the data of one Carbon; it keeps answers for CACHE_SECONDS, as with memcached. It ends when standard
# input closes; standard output closes once it has ended.
set -euo pipefail
dir=$1 port=$2 whisper=$3 query=$4 cache_seconds=${5:-0}
cache=dummy.DummyCache; [ "$cache_seconds" = 0 ] || cache=locmem.LocMemCache
mkdir -p "$dir"

# The other end of standard input is with the process that started this; should it die, the server must not outlive them.
( read -r _ || true; kill -KILL $$ ) <&0 2>/dev/null &
exec </dev/null >>"$dir/log" 2>&1

cat > "$dir/gridmon_settings.py" <<C
SECRET_KEY = 'throw-away'
ALLOWED_HOSTS = ['*']
TIME_ZONE = 'UTC'
DEBUG = False
CONF_DIR = STORAGE_DIR = LOG_DIR = '$dir'
LOG_ROTATION = False
INDEX_FILE = '$dir/index'
WHISPER_DIR = '$whisper'
STANDARD_DIRS = ['$whisper']
CARBONLINK_HOSTS = ['127.0.0.1:$query']
CARBONLINK_TIMEOUT = 1.0
FIND_CACHE_DURATION = 0
DEFAULT_CACHE_DURATION = $cache_seconds
CACHES = {'default': {'BACKEND': 'django.core.cache.backends.$cache'}}
DATABASES = {'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': '$dir/graphite.db'}}
C
export PYTHONPATH=$dir PYTHONDONTWRITEBYTECODE=1
export GRAPHITE_SETTINGS_MODULE=gridmon_settings DJANGO_SETTINGS_MODULE=graphite.settings
# The database holds users and dashboards; reading metrics never asks it, so its tables are not made. One process with
# threads, for the workers of a gunicorn would outlive its kill.
exec /usr/bin/python3 -c "
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIServer, make_server
from graphite.wsgi import application
class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 64
make_server('127.0.0.1', $port, application, Server).serve_forever()"
