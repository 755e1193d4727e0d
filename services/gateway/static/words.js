/* What the chat page says, in two languages. {name} is filled in. */
const words = {
  en: {
    welcome: 'What would you like to talk about?',
    welcomeMore: 'parley is a chat with a language model, in real time, on a server of your own.',
    ideas: [
      ['At length', 'Write 500 words about how a letter finds its way around the world'],
      ['Arithmetic', 'What is 123 + 456?'],
      ['In Chinese', '你好！请用 200 字介绍一下茶的历史'],
      ['It remembers', 'My name is Ada. Ask me for it later!'],
    ],
    yourMessage: 'Your message', placeholder: 'Message', send: 'Send', stop: 'Stop the answer',
    hint: 'Enter sends · Shift+Enter for a new line · Esc stops',
    conversation: 'Conversation', newConversation: 'New conversation', settings: 'Settings', dark: 'Dark colours',
    latest: 'To the latest message', close: 'Close', connectAgain: 'Connect again', openSettings: 'Open the settings',
    connecting: 'Connecting', connected: 'Connected', reconnecting: 'Reconnecting (attempt {attempt} of {tries})',
    offline: 'Offline',
    toastConnected: 'Connected', toastLost: 'The connection was lost', toastOffline: 'Not connected: nothing was sent',
    toastTooLong: 'Too long by {excess} bytes: a message may have {longest}',
    needsToken: 'This server asks for a token: enter it in the settings.',
    unknownToken: 'This server does not know this token: enter another in the settings.',
    otherUser: 'The token is not this user’s (“{user}”): change the user or the token in the settings.',
    noPipeline: 'There is no such pipeline: enter another in the settings.',
    toastNoHistory: 'What was said before could not be read', toastNoReset: 'This session could not be begun anew: only its owner may',
    toastOneConversation: 'This can’t begin anew: the user is the conversation, and the token is this user’s alone',
    toastNoAnswer: 'The server does not answer',
    askReset: 'In this protocol a new conversation begins anew for everybody in the session. Go on?',
    toastCopied: 'Copied', toastCopyFailed: 'The browser did not allow copying',
    you: 'You', parley: 'parley', other: 'Someone else', operator: 'From the operator',
    waiting: 'Waiting for the answer', queued: 'Sent when this answer ends', answering: 'Answering',
    stopped: 'Stopped.', stopping: 'Stopping…', tryAgain: 'Try again', askAgain: 'Ask again', copy: 'Copy', copyAnswer: 'Copy answer',
    failed: 'This did not work: {error}', noAnswer: 'The model gave no answer.',
    failedOffline: 'This was not sent: there is no connection.',
    lost: 'The connection was lost before the answer was complete.',
    interrupted: 'This answer was interrupted when the page was left.',
    noted: 'Shown to the group; nobody was asked', pausing: 'Waiting for the server…',
    fresh: 'New connection: what was said above is not remembered',
    running: 'running', done: 'done', toolFailed: 'failed', arguments: 'Arguments', result: 'Result', noResult: 'None yet',
    language: 'Language', protocol: 'Protocol', pipeline: 'Pipeline', sessionType: 'Session', person: 'Person',
    group: 'Group', persona: 'Persona', personaDefault: 'The default one', conversationId: 'Conversation',
    user: 'User (is the conversation)', stream: 'Show the answer word by word', tools: 'Let the model use tools',
    token: 'Access token', tokenHint: 'Only if the server asks for one',
    memoryNote: 'In this protocol the conversation is this tab’s: another tab begins a new one.',
    console: 'Console for client builders', docs: 'API documentation',
  },
  zh: {
    welcome: '想聊点什么？',
    welcomeMore: 'parley：在自己的服务器上，与大模型实时聊天。',
    ideas: [
      ['长文', '请写一篇 500 字的文章，讲讲一封信怎样走遍世界'],
      ['计算', '123 + 456 等于多少？'],
      ['英文', 'Write 100 words about the history of tea'],
      ['记忆', '我叫小明，请记住，我等会儿会问你。'],
    ],
    yourMessage: '你的消息', placeholder: '输入消息', send: '发送', stop: '停止回答',
    hint: 'Enter 发送 · Shift+Enter 换行 · Esc 停止',
    conversation: '对话', newConversation: '新对话', settings: '设置', dark: '深色', latest: '回到最新消息', close: '关闭',
    connectAgain: '重新连接', openSettings: '打开设置',
    connecting: '正在连接', connected: '已连接', reconnecting: '正在重新连接（第 {attempt} 次，共 {tries} 次）', offline: '离线',
    toastConnected: '已连接', toastLost: '连接已断开', toastOffline: '未连接，消息没有发送',
    toastTooLong: '超出长度上限 {excess} 字节（上限 {longest} 字节）',
    needsToken: '此服务器需要访问令牌，请在设置中填写。',
    unknownToken: '此服务器不认识这个访问令牌，请在设置中更换。',
    otherUser: '这个访问令牌属于其他用户，不能以“{user}”的身份聊天。请在设置中更改用户或令牌。',
    noPipeline: '没有这个流水线，请在设置中更改。',
    toastNoHistory: '无法读取以前的消息', toastNoReset: '只有管理员可以重置此会话',
    toastOneConversation: '无法开始新对话：用户就是对话，而令牌只属于该用户',
    toastNoAnswer: '服务器没有响应',
    askReset: '在此协议中，新对话会为会话中的所有人重新开始。继续吗？',
    toastCopied: '已复制', toastCopyFailed: '浏览器不允许复制',
    you: '你', parley: 'parley', other: '其他人', operator: '管理员广播',
    waiting: '正在等待回答', queued: '当前回答结束后发送', answering: '正在回答',
    stopped: '已停止。', stopping: '正在停止…', tryAgain: '重试', askAgain: '重新提问', copy: '复制', copyAnswer: '复制回答',
    failed: '没有成功：{error}', noAnswer: '模型没有给出回答。',
    failedOffline: '没有连接，这条消息没有发送。',
    lost: '回答完成之前连接断开了。',
    interrupted: '离开页面时，这个回答被中断了。',
    noted: '已发到群里，没有向机器人提问', pausing: '正在等待服务器…',
    fresh: '新的连接：以上内容不会被记住',
    running: '运行中', done: '完成', toolFailed: '失败', arguments: '参数', result: '结果', noResult: '还没有',
    language: '语言', protocol: '协议', pipeline: '流水线', sessionType: '会话', person: '单聊', group: '群聊',
    persona: '人格', personaDefault: '默认', conversationId: '对话', user: '用户（即对话）', stream: '逐字显示回答',
    tools: '允许模型使用工具', token: '访问令牌', tokenHint: '仅当服务器需要时',
    memoryNote: '此协议中，对话属于当前标签页；换标签页，就是新的对话。',
    console: '客户端调试台', docs: 'API 文档',
  },
};

let language = 'en';

/** The words for `key`, filled in. */
export function t(key, values = {}) {
  const text = words[language][key];
  return typeof text === 'string' ? text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? '') : text;
}

/** What the browser would like. */
export const preferredLanguage = () => (navigator.language.startsWith('zh') ? 'zh' : 'en');

/** Chooses the language, and says everything on the page in it that bears data-t, -label or -placeholder. */
export function speak(chosen) {
  language = words[chosen] ? chosen : 'en';
  document.documentElement.lang = language;
  for (const element of document.querySelectorAll('[data-t]')) element.textContent = t(element.dataset.t);
  for (const element of document.querySelectorAll('[data-t-placeholder]')) element.placeholder = t(element.dataset.tPlaceholder);
  for (const element of document.querySelectorAll('[data-t-label]')) label(element, t(element.dataset.tLabel));
}

/** Names a button for those who can't see its picture, and for those who wonder. */
export function label(element, text) {
  element.setAttribute('aria-label', text);
  if (element.localName === 'button') element.title = text;
}
