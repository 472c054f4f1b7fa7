// KafkaSSE as its documentation shows it, one consumer for each client: node peer.js PORT BOOTSTRAP
'use strict';

const http = require('http');
// Installed by scripts/bench, elsewhere; NODE_PATH says where.
const kafkaSse = require('kafka-sse');

const [port, bootstrap] = process.argv.slice(2);
const options = { kafkaConfig: { 'metadata.broker.list': bootstrap } };

http.createServer((request, response) => {
    const topic = request.url.split('/')[2];
    // KafkaSSE takes a request's `close` for its client's leaving.  Since Node 16 that is told as soon as the request has
    // been read; a leaving client is the response's `close`, to which it listens too.
    const once = request.once.bind(request);
    request.once = (name, listener) => (name === 'close' ? request : once(name, listener));
    kafkaSse(request, response, [topic], options);
}).listen({ port: Number(port), host: '127.0.0.1', backlog: 4096 });
