import t from 'tap'
import { proxyFor } from '../../src/http/proxy.js'

const PROXY = 'http://proxy.example:3128'

t.test('the proxy of the environment is used, but where it says not to', async t => {
  const cases: readonly (readonly [url: string, env: NodeJS.ProcessEnv, expected: string | undefined])[] = [
    ['https://registry.example/', {}, undefined],
    ['https://registry.example/', { HTTPS_PROXY: PROXY }, PROXY],
    ['https://registry.example/', { https_proxy: 'proxy.example:3128' }, PROXY],
    ['https://registry.example/', { HTTP_PROXY: PROXY }, undefined],
    ['http://registry.example/', { HTTP_PROXY: PROXY }, PROXY],
    ['http://registry.example/', { HTTP_PROXY: PROXY, REQUEST_METHOD: 'GET' }, undefined],
    ['https://registry.example/', { ALL_PROXY: PROXY }, PROXY],
    ['https://registry.example/', { HTTPS_PROXY: PROXY, NO_PROXY: '*' }, undefined],
    ['https://registry.example/', { HTTPS_PROXY: PROXY, NO_PROXY: 'other.example, example' }, undefined],
    ['https://registry.example/', { HTTPS_PROXY: PROXY, NO_PROXY: '.example' }, undefined],
    ['https://registry.example/', { HTTPS_PROXY: PROXY, NO_PROXY: '*.example' }, undefined],
    ['https://registry.example/', { HTTPS_PROXY: PROXY, NO_PROXY: 'gistry.example' }, PROXY],
    ['https://registry.example:5000/', { HTTPS_PROXY: PROXY, NO_PROXY: 'registry.example:5000' }, undefined],
    ['https://registry.example/', { HTTPS_PROXY: PROXY, NO_PROXY: 'registry.example:5000' }, PROXY],
    ['https://registry.example/', { HTTPS_PROXY: PROXY, NO_PROXY: 'registry.example:443' }, undefined],
    ['https://10.1.2.3/', { HTTPS_PROXY: PROXY, NO_PROXY: '10.0.0.0/8' }, undefined],
    ['https://11.1.2.3/', { HTTPS_PROXY: PROXY, NO_PROXY: '10.0.0.0/8' }, PROXY],
    ['https://11.1.2.3/', { HTTPS_PROXY: PROXY, NO_PROXY: '2.3' }, PROXY],
    ['https://[fd00::1]/', { HTTPS_PROXY: PROXY, NO_PROXY: 'fd00::/8' }, undefined],
    ['https://[fd00::1]/', { HTTPS_PROXY: PROXY, NO_PROXY: '[fd00::1]' }, undefined],
    ['https://127.0.0.1:5000/', { ALL_PROXY: PROXY }, undefined],
    ['https://localhost:5000/', { ALL_PROXY: PROXY }, undefined],
    ['https://[::1]:5000/', { ALL_PROXY: PROXY }, undefined],
  ]
  for (const [url, env, expected] of cases)
    t.equal(proxyFor(new URL(url), env), expected, `${url} ${JSON.stringify(env)}`)
})
