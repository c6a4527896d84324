# masters.py qulo|http PORT FILE: a master that agents send to, for tests. Each value that arrives is a line of FILE.
#
# qulo keeps to the rules by which QULo 1.10.0's master reads: one pickle per read of at most 8,192 bytes, what follows in the
# same read is lost, what is no pickle ends the reader and not the connection, nothing is ever answered. Its lines are
# Carbon's, `PATH VALUE TIME`.
# http takes line protocol by POST /write and answers 204. It writes the lines as they are.
import asyncio, gzip, pickle, sys

kind, port, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]
out = open(path, 'a', buffering=1)

def lines(message):
    assert list(message) == ['host', 'sensor', 'value', 'time'], message
    assert type(message['time']) is float and type(message['host']) is str and type(message['sensor']) is str, message
    name, value = f"{message['host']}.{message['sensor']}", message['value']
    for key, number in (value.items() if type(value) is dict else [(None, value)]):
        assert type(number) in (int, float), message
        yield f"{name}{'' if key is None else '.' + str(key)} {number!r} {message['time']!r}\n"

async def qulo(reader, writer):
    while True:
        data = await reader.read(8192)
        if not data:
            await asyncio.sleep(1e6)
        try:
            out.write(''.join(lines(pickle.loads(data))))
        except Exception as error:
            print(f'the reader ends: {error!r}', file=sys.stderr, flush=True)
            await asyncio.sleep(1e6)

async def http(reader, writer):
    try:
        while True:
            head = (await reader.readuntil(b'\r\n\r\n')).decode()
            fields = {k.lower(): v.strip() for k, _, v in (line.partition(':') for line in head.split('\r\n')[1:])}
            body = await reader.readexactly(int(fields.get('content-length', 0)))
            if fields.get('content-encoding') == 'gzip':
                body = gzip.decompress(body)
            is_write = head.startswith('POST /write?')
            if is_write:
                out.write(body.decode())
            writer.write(f"HTTP/1.1 {'204 No Content' if is_write else '404 Not Found'}\r\nContent-Length: 0\r\n\r\n".encode())
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()

async def main():
    server = await asyncio.start_server({'qulo': qulo, 'http': http}[kind], '127.0.0.1', port)
    await server.serve_forever()
asyncio.run(main())
