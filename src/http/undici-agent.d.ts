/** The one module of undici that is loaded alone; it has no types of its own. */
declare module 'undici/lib/dispatcher/agent.js' {
  import { Agent } from 'undici'
  export default Agent
}
