// What a person sees of the provider: plain pages whose fields a browser test finds by their labels. The library's own would ask
// the internet for a font.

const escape = (text) =>
  String(text).replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);

const page = (title, body) => `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${escape(title)}</title>
<style>body{font:1rem/1.5 sans-serif;max-width:24rem;margin:3rem auto;padding:0 1rem}input,button{font:inherit;margin:.25rem 0 1rem}label,input{display:block}</style>
</head>
<body>
<h1>${escape(title)}</h1>
${body}
</body>
</html>
`;

const alert = (text) => (text ? `<p role="alert">${escape(text)}</p>` : '');

/** Where a person says who they are. */
export const login = (client, name, problem) =>
  page(
    `Sign in to ${client}`,
    `${alert(problem)}
<form method="post">
<label for="name">Name</label><input id="name" name="name" value="${escape(name)}" autocomplete="username" required autofocus>
<label for="password">Password</label><input id="password" name="password" type="password" autocomplete="current-password" required>
<button>Sign in</button>
</form>`,
  );

/** Where a person lets the client have what it asks for, when it wants them to be asked. */
export const consent = (client) =>
  page(`Let ${client} in?`, '<form method="post"><button name="consent" value="yes">Allow</button></form>');

/** Where a person types the code that a device shows. */
export const code = (form, problem) =>
  page(
    'Connect a device',
    `${alert(problem && 'That code is not known. Try again.')}
${form}
<button form="op.deviceInputForm">Continue</button>`,
  );

/** Where a person compares the code with the device's. */
export const confirm = (form, client, userCode) =>
  page(
    'Is this your device?',
    `<p>${escape(client)} shows the code <strong>${escape(userCode)}</strong>.</p>
${form}
<button form="op.deviceConfirmForm">Yes, connect it</button>
<button form="op.deviceConfirmForm" name="abort" value="yes">No</button>`,
  );

/** Where a person ends the session. */
export const logout = (form) =>
  page(
    'Sign out?',
    `${form}
<button form="op.logoutForm" name="logout" value="yes">Yes, sign me out</button>
<button form="op.logoutForm">No, stay signed in</button>`,
  );

/** All is said. */
export const done = (title) => page(title, '<p>You can close this page.</p>');

/** What went wrong, in the protocol's words. */
export const error = (out) =>
  page(
    'That did not work',
    `<dl>${Object.entries(out)
      .map(([name, value]) => `<dt>${escape(name)}</dt><dd>${escape(value)}</dd>`)
      .join('')}</dl>`,
  );
