"""Speaks to a Home Assistant as its owner would, from beside it. Runs in Home Assistant's own Python, for `aiohttp`.

    hassdo.py setup               signs up the owner, adds a user who is no administrator; {"admin": token, "user": token}
    hassdo.py call TOKEN DOMAIN SERVICE ENTITY [JSON]
    hassdo.py states TOKEN        all states, by entity
    hassdo.py mqtt TOKEN ADDRESS PORT USER PASSWORD   adds its own MQTT integration
    hassdo.py revoke TOKEN        takes back the token, as its user
    hassdo.py sign_in ADDRESS USER PASSWORD   signs in at the address that an application shows, as its page does in a browser;
                                  where the browser is sent then
    hassdo.py clients TOKEN       for which applications the user of the token is signed in
    hassdo.py sign_out TOKEN CLIENT           takes back what that application was given
"""

import asyncio
import json
import os
import sys
import urllib.parse

import aiohttp

BASE = os.environ.get("HASS_BASE", "http://127.0.0.1:8123")
LAB = f"{BASE}/"


class Home:
    def __init__(self, session, token):
        self.session, self.token, self.last = session, token, 0

    async def __aenter__(self):
        self.socket = await self.session.ws_connect(f"{BASE}/api/websocket", max_msg_size=0)
        await self.socket.receive_json()
        await self.socket.send_json({"type": "auth", "access_token": self.token})
        answer = await self.socket.receive_json()
        assert answer["type"] == "auth_ok", answer
        return self

    async def __aexit__(self, *_):
        await self.socket.close()

    async def ask(self, kind, **more):
        self.last += 1
        await self.socket.send_json({"id": self.last, "type": kind, **more})
        while True:
            answer = await self.socket.receive_json()
            if answer.get("id") == self.last and answer["type"] == "result":
                assert answer["success"], answer
                return answer["result"]


async def post(session, path, **how):
    async with session.post(BASE + path, **how) as answer:
        assert answer.status in (200, 201), (path, answer.status, await answer.text())
        return await answer.json()


async def token_of(session, code):
    grant = {"grant_type": "authorization_code", "code": code, "client_id": LAB}
    return (await post(session, "/auth/token", data=grant))["access_token"]


async def lasting(session, token, name):
    async with Home(session, token) as home:
        return await home.ask("auth/long_lived_access_token", client_name=name, lifespan=30)


async def setup(session):
    for _ in range(600):  # a minute
        try:
            async with session.get(f"{BASE}/api/onboarding") as answer:
                if answer.status == 200:
                    break
        except aiohttp.ClientError:
            pass
        await asyncio.sleep(0.1)
    owner = {"name": "Owner", "username": "owner", "password": "lab-pass-1", "client_id": LAB, "language": "en"}
    owner = await token_of(session, (await post(session, "/api/onboarding/users", json=owner))["auth_code"])
    async with Home(session, owner) as home:
        user = (await home.ask("config/auth/create", name="Accord", group_ids=["system-users"]))["user"]["id"]
        await home.ask("config/auth_provider/homeassistant/create", user_id=user, username="accord", password="lab-pass-2")
    begin = {"client_id": LAB, "handler": ["homeassistant", None], "redirect_uri": LAB}
    flow = (await post(session, "/auth/login_flow", json=begin))["flow_id"]
    login = {"client_id": LAB, "username": "accord", "password": "lab-pass-2"}
    code = (await post(session, f"/auth/login_flow/{flow}", json=login))["result"]
    user = await token_of(session, code)
    return {"admin": await lasting(session, owner, "accord"), "user": await lasting(session, user, "accord")}


async def call(session, token, domain, service, entity, data="{}"):
    async with Home(session, token) as home:
        await home.ask("call_service", domain=domain, service=service, service_data=json.loads(data),
                       target={"entity_id": entity})


async def states(session, token):
    async with Home(session, token) as home:
        return {one["entity_id"]: one for one in await home.ask("get_states")}


async def mqtt(session, token, address, port, user, password):
    with_token = {"Authorization": f"Bearer {token}"}
    flow = await post(session, "/api/config/config_entries/flow", json={"handler": "mqtt"}, headers=with_token)
    given = {"broker": address, "port": int(port), "username": user, "password": password}
    return await post(session, f"/api/config/config_entries/flow/{flow['flow_id']}", json=given, headers=with_token)


async def revoke(session, token):
    async with Home(session, token) as home:
        for one in await home.ask("auth/refresh_tokens"):
            if one["type"] == "long_lived_access_token":
                # It ends the connections that were made with it, this one too.
                await home.socket.send_json({"id": home.last + 1, "type": "auth/delete_refresh_token", "refresh_token_id": one["id"]})
                await home.socket.receive()


async def sign_in(session, address, user, password):
    asked = {key: all[0] for key, all in urllib.parse.parse_qs(urllib.parse.urlsplit(address).query).items()}
    assert address.startswith(f"{address.split('/auth/')[0]}/auth/authorize?") and asked["response_type"] == "code", address
    # The page itself, and then what its script does.
    async with session.get(f"{BASE}/auth/authorize") as page:
        assert page.status == 200, page.status
    client, back = asked["client_id"], asked["redirect_uri"]
    begin = {"client_id": client, "handler": ["homeassistant", None], "redirect_uri": back}
    flow = (await post(session, "/auth/login_flow", json=begin))["flow_id"]
    login = {"client_id": client, "username": user, "password": password}
    done = await post(session, f"/auth/login_flow/{flow}", json=login)
    assert done["type"] == "create_entry", done
    query = urllib.parse.urlencode({"code": done["result"], "state": asked["state"]})
    return {"back": f"{back}?{query}", "code": done["result"]}


async def clients(session, token):
    async with Home(session, token) as home:
        return [one["client_id"] for one in await home.ask("auth/refresh_tokens") if one["type"] == "normal"]


async def sign_out(session, token, client):
    async with Home(session, token) as home:
        for one in await home.ask("auth/refresh_tokens"):
            if one["client_id"] == client:
                await home.ask("auth/delete_refresh_token", refresh_token_id=one["id"])


async def main(what, *words):
    # The lab's certificate vouches for nothing.
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=False)) as session:
        print(json.dumps(await globals()[what](session, *words)))


asyncio.run(main(*sys.argv[1:]))
