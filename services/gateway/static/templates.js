/* What the console knows of each protocol: messages to begin with, and what its statistics say. */
import { protocols } from './parley.js';

const now = () => new Date().toISOString();
const plain = (text) => [{ type: 'Plain', text }];

export const TEMPLATES = {
  agent_engine: {
    streaming_query: { type: 'streaming_query', query: 'Write 100 words about rivers' },
    agent_query: { type: 'agent_query', query: 'Hello!' },
    tool_call: { type: 'tool_call', tool_name: 'calculator', params: { expression: '123 + 456' } },
    ping: { type: 'ping' },
    cancel: { type: 'cancel' },
  },
  yychat: {
    text_message: { type: 'text_message', content: 'Write 100 words about rivers', conversation_id: 'console', use_tools: true, stream: true },
    heartbeat: { type: 'heartbeat' },
    ping: { type: 'ping' },
    get_status: { type: 'get_status' },
    cancel: { type: 'cancel' },
  },
  contact: {
    chat_message: { type: 'chat_message', message: 'Hello!', timestamp: now() },
    contact_request: { type: 'contact_request', message: 'Please call me', timestamp: now(), userAgent: navigator.userAgent },
    ping: { type: 'ping' },
    cancel: { type: 'cancel' },
  },
  langbot: {
    message: { type: 'message', message: plain('Write 100 words about rivers'), stream: true },
    'message to the bot of a group': { type: 'message', message: [{ type: 'At', target: 'websocketbot' }, ...plain('Hello!')] },
    ping: { type: 'ping' },
    cancel: { type: 'cancel' },
    disconnect: { type: 'disconnect' },
  },
  minimal: {
    query: { query: 'Write 100 words about rivers' },
    cancel: { type: 'cancel' },
  },
};

/** What a click sends: frames, or a text as it stands. */
export function quickActions(protocol) {
  const templates = TEMPLATES[protocol];
  const [question] = Object.values(templates);
  return {
    ...(templates.ping ? { Ping: templates.ping } : {}),
    Stream: question,
    /* where a client can't call a tool itself, the model is asked to */
    Calculator: templates.tool_call || protocols[protocol].ask('What is 123 + 456?', {}),
    Cancel: templates.cancel,
    'Bad JSON': '{"type": "pi',
  };
}

/** What is shown of the statistics, by where a protocol has them. */
export const FACTS = {
  '/ws/statistics': (answer = {}) => ({
    Connections: answer.active_connections, 'In all': answer.total_connections,
    'Messages sent': answer.total_messages, 'Longest, s': longest(answer.connections),
  }),
  '/ws/status': ({ data = {} } = {}) => ({
    Connections: data.active_connections, 'In all': data.total_connections,
    'Messages sent': data.total_messages, 'At most': data.max_connections, 'Uptime, s': data.uptime,
  }),
  connections: ({ data: { stats = {} } = {} } = {}) => ({
    Connections: stats.total_connections, Pipelines: stats.pipelines,
    'Here, person': stats.connections_by_session_type?.person, 'Here, group': stats.connections_by_session_type?.group,
  }),
};

function longest(connections) {
  return connections && Math.max(0, ...connections.map((connection) => connection.uptime));
}
